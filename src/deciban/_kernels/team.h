/* Work shared by threads that are there already, outside the interpreter: one leads through a sequence of phases, each of
 * some numbered tasks, and the others help while it lasts. Whoever is free takes the next task; a phase ends when all its
 * tasks are done, so what a task reads may be what any task of an earlier phase wrote. A helper that comes late, or never,
 * is not waited for: the leader can do everything.
 *
 * Workers of odd number take the last task, others the first. So of phases that repeat, two workers do the same tasks
 * every time, and find what a task changes in the cache of their own processor: where each step of an optimiser came
 * upon pieces that the other had changed, the steps took twice the time (Zen 4, 79,510 parameters).
 *
 * Cost: an atomic operation or two a task, a few hundred nanoseconds a phase; who waits spins, then yields its processor.
 */
#ifndef DECIBAN_TEAM_H
#define DECIBAN_TEAM_H

#include <stdint.h>

#ifdef _WIN32
#include <windows.h>
#define TEAM_YIELD() SwitchToThread()
#else
#include <sched.h>
#define TEAM_YIELD() sched_yield()
#endif

#if defined(__x86_64__) || defined(__i386__)
#define TEAM_PAUSE() __builtin_ia32_pause()
#else
#define TEAM_PAUSE() ((void)0)
#endif

#define TEAM_BITS 20 /* of the first task that is left; above them as many for the end of what is left, then the phase */
#define TEAM_TASKS (1 << TEAM_BITS)
#define TEAM_SPINS 4096

typedef void (*team_task)(void *context, ptrdiff_t index, ptrdiff_t worker);

typedef struct {
    team_task task;
    void *context;
    int is_open;
    uint64_t ticket; /* phase, end of the tasks that are left, first of them */
    char apart[64];  /* on another cache line, which helpers that wait do not look at */
    ptrdiff_t n_done;
} team;

static inline void team_wait(int *spins) {
    if (++*spins < TEAM_SPINS) {
        TEAM_PAUSE();
    } else {
        TEAM_YIELD();
    }
}

static inline void team_start(team *own, team_task task, void *context) {
    own->task = task;
    own->context = context;
    own->n_done = 0;
    __atomic_store_n(&own->ticket, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&own->is_open, 1, __ATOMIC_RELEASE);
}

static inline int team_work(team *own, ptrdiff_t worker) {
    int any = 0;
    for (;;) {
        uint64_t ticket = __atomic_load_n(&own->ticket, __ATOMIC_ACQUIRE);
        ptrdiff_t first = (ptrdiff_t)(ticket & (TEAM_TASKS - 1));
        ptrdiff_t end = (ptrdiff_t)(ticket >> TEAM_BITS & (TEAM_TASKS - 1));
        if (first >= end) {
            return any;
        }
        uint64_t less = worker % 2 ? ticket - ((uint64_t)1 << TEAM_BITS) : ticket + 1;
        if (__atomic_compare_exchange_n(&own->ticket, &ticket, less, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            own->task(own->context, worker % 2 ? end - 1 : first, worker);
            __atomic_fetch_add(&own->n_done, 1, __ATOMIC_RELEASE);
            any = 1;
        }
    }
}

/* The leader, worker 0: do a phase of fewer than TEAM_TASKS tasks. */
static inline void team_phase(team *own, ptrdiff_t n_tasks) {
    uint64_t phase = (__atomic_load_n(&own->ticket, __ATOMIC_RELAXED) >> 2 * TEAM_BITS) + 1;
    int spins = 0;
    __atomic_store_n(&own->n_done, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&own->ticket, phase << 2 * TEAM_BITS | (uint64_t)n_tasks << TEAM_BITS, __ATOMIC_RELEASE);
    team_work(own, 0);
    while (__atomic_load_n(&own->n_done, __ATOMIC_ACQUIRE) < n_tasks) {
        team_wait(&spins);
    }
}

/* Wait until a flag is down; not for long. */
static inline void team_spin(const int *flag) {
    for (int spins = 0; spins < TEAM_SPINS && __atomic_load_n(flag, __ATOMIC_ACQUIRE); spins++) {
        TEAM_PAUSE();
    }
}

static inline void team_end(team *own) { __atomic_store_n(&own->is_open, 0, __ATOMIC_RELEASE); }

/* A helper, of another number than all others: help until the leader ends it. */
static inline void team_help(team *own, ptrdiff_t worker) {
    int spins = 0;
    while (__atomic_load_n(&own->is_open, __ATOMIC_ACQUIRE)) {
        if (team_work(own, worker)) {
            spins = 0;
        } else {
            team_wait(&spins);
        }
    }
}

#endif
