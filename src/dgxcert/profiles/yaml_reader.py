"""YAML as profiles are written in: what a careless reader would let through is an error."""

from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """Reads YAML, and refuses a key that stands twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See SafeLoader; raises ConstructorError for a repeated key."""
        seen: set[str] = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
