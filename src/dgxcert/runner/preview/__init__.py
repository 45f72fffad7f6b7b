"""What a run would do, found out without measuring or writing anything."""
