"""The folders of the Hub's clients: where they are, whether this user can work in them, and what they hold."""
