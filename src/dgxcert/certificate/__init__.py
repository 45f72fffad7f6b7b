"""What leaves the lab: a signed run, its verification, what has changed on its machine since, and a redacted bundle."""
