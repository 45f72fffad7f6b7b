"""What the user's token may read: by what the Hub says of the token, and for a repository of the user's own."""
