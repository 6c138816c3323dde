# Threads that share the phases of one kernel call; team.h says how.
cdef extern from "team.h":
    enum:
        TEAM_TASKS
    ctypedef void (*team_task)(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil
    ctypedef struct team:
        pass
    void team_start(team* own, team_task task, void* context) noexcept nogil
    void team_phase(team* own, Py_ssize_t n_tasks) noexcept nogil
    void team_spin(const int* flag) noexcept nogil
    void team_end(team* own) noexcept nogil
    void team_help(team* own, Py_ssize_t worker) noexcept nogil

cdef class Team:
    cdef team threads
