"""What can be vouched for: a signed run, what has changed on its machine since, and a bundle for a hardware case."""
