"""Ansible: the playbook process, its environment, its secrets and its events."""
