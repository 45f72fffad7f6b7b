"""How a run gets done: from one stage to the next, in child processes that are watched from outside."""
