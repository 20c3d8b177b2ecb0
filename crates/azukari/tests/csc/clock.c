/* A machine whose clock is ahead: preloaded into the platform, it adds $AHEAD_S seconds to the time
 * of day and leaves everything else alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, now);
    const char *ahead = getenv("AHEAD_S");
    if (done == 0 && id == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
    return done;
}
