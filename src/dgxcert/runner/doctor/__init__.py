"""What a first `validate` will trip over, found within seconds by the requirements themselves; nothing is recorded."""
