"""The variables that the Hub's clients read: which there are, and what is wrong with those that are set."""
