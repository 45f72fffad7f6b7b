"""A room: the machines that a lab validates together, over SSH. Only this package imports or starts Ansible."""
