"""How what is measured is compared with what should be: requirement, evidence, limit, outcome, verdict."""
