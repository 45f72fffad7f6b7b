"""Delivery: what every host gets, so that exactly this suite validates it."""
