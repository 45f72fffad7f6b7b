"""A suite with a check that cannot even be imported."""

import no_such_module_of_this_suite  # noqa: F401 (that is the fault)
