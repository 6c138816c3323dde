"""A team of threads for kernels of many short phases, each of which needs the one before; team.h says how it works.

The leader calls a kernel that starts the team (:class:`Team`, cimported) with a task and runs its phases; meanwhile the
helpers are in :meth:`Team.help`.
"""

from threading import Lock


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


cdef class Turn:
    """A helper's turn at something: held, as a context, while it lasts; others can wait for its end.

    Who waits looks often at first, and only then sleeps: an idle CPU of a virtual machine takes 50 us to wake up.
    """
    cdef int is_on
    cdef object lock

    def __cinit__(self):
        self.lock = Lock()

    def __enter__(self):
        self.lock.acquire()
        self.is_on = 1

    def __exit__(self, *error):
        self.is_on = 0
        self.lock.release()

    def wait(self):
        """Wait for the end of a turn that has begun."""
        with nogil:
            team_spin(&self.is_on)
        with self.lock:
            pass
