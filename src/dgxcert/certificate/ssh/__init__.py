"""SSH signatures: armor, keys, signers and revoked keys, each read here to be explained; ssh-keygen decides."""
