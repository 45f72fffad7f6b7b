"""YAML reader: what other readers accept in silence is an error."""

from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses a repeated key, of which the last would silently replace the others.

    >>> yaml.load("spread: 0.1", Loader=StrictLoader)
    {'spread': 0.1}
    >>> yaml.load("spread: 0.1\\nspread: 9", Loader=StrictLoader)
    Traceback (most recent call last):
    yaml.constructor.ConstructorError: key 'spread' is given twice
    ...
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node; raises ConstructorError for a repeated key."""
        seen: set[str] = set()
        # before SafeLoader constructs the mapping, which keeps the last value of a key and forgets the others
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
