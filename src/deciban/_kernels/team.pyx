"""A team of threads for kernels of many short phases, each of which needs the one before; team.h says how it works.

The leader calls a kernel that starts the team (:class:`Team`, cimported) with a task and runs its phases; meanwhile the
helpers are in :meth:`Team.help`.
"""


cdef void _nothing(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    pass


cdef class Team:
    """What the threads of some kernel calls share; open from the beginning to :meth:`end`."""

    def __cinit__(self):
        team_start(&self.threads, _nothing, NULL)

    def help(self, Py_ssize_t worker):
        """Help with whatever phase the leader runs, until :meth:`end`; every helper has a number of its own, from 1."""
        with nogil:
            team_help(&self.threads, worker)

    def end(self):
        """Let the helpers go."""
        team_end(&self.threads)
