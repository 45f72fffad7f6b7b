"""JSON output: one document for each command that has `--json`, each with a schema in docs/schemas.

Standard output then holds this document and nothing else, and exit codes are those of the command without `--json`.
What keeps a command from its answer is text on standard error and exit code 3, as ever.

Names of members stay from version to version; new ones may be added. `format` is raised where one changes its meaning.
"""
