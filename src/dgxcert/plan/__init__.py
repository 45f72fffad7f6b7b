"""What will run, and why not: the suite on disk, its catalogue, and what profile, tier and options select from it."""
