"""Who shares a GPU with a container: seen from the host, since a container does not see the processes of others."""
