"""What works on a host of a room: programs of the standard library alone, which are delivered as files."""
