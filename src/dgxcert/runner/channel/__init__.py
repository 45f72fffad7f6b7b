"""The channel between the supervisor and a child: what a child is told, what it may say, and how both are proved."""
