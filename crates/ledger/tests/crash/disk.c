/* A disk that forgets what was not synced.
 *
 * Preloaded into a child process. Every fsync or fdatasync of a file below $DISK_LIVE copies the
 * file, as it is at that moment, into $DISK_SYNCED, and only then returns. A new name, and the
 * removal of an old one, count only once the folder itself is synced: until then the copy is
 * called "….unnamed". When the child is killed, $DISK_SYNCED holds exactly what a disk without a
 * single unsynced octet would hold. With $DISK_LIES set, syncing does nothing: the control. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH 4096

static const char *live, *synced;

static void fail(const char *what) {
    perror(what);
    abort(); /* a harness that cannot copy must not report a sync */
}

static void join(char *out, const char *folder, const char *name, const char *ending) {
    if (snprintf(out, PATH, "%s/%s%s", folder, name, ending) >= PATH) fail("join");
}

static void keep_file(const char *path, const char *name) {
    char to[PATH], half[PATH], buffer[65536];
    ssize_t got;
    join(to, synced, name, "");
    if (access(to, F_OK) != 0) join(to, synced, name, ".unnamed");
    join(half, synced, name, ".half");
    int from = open(path, O_RDONLY), copy = open(half, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || copy < 0) fail("open");
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        if (write(copy, buffer, got) != got) fail("write");
    if (got < 0) fail("read");
    close(from);
    close(copy);
    /* Being killed before this line is being killed before the sync. */
    if (rename(half, to) != 0) fail("rename");
}

static void keep_names(void) {
    char here[PATH], there[PATH];
    struct dirent *entry;
    DIR *folder = opendir(synced);
    if (!folder) fail("opendir");
    while ((entry = readdir(folder))) {
        char *ending = strrchr(entry->d_name, '.');
        if (entry->d_name[0] == '.' || !strcmp(ending ? ending : "", ".half")) continue;
        join(here, synced, entry->d_name, "");
        if (!strcmp(ending ? ending : "", ".unnamed")) {
            *ending = 0;
            join(there, synced, entry->d_name, "");
            if (rename(here, there) != 0) fail("rename");
            strcpy(here, there);
        }
        join(there, live, entry->d_name, "");
        if (access(there, F_OK) != 0 && unlink(here) != 0) fail("unlink");
    }
    closedir(folder);
    /* A name without synced content is an empty file. */
    if (!(folder = opendir(live))) fail("opendir");
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.') continue;
        join(here, synced, entry->d_name, "");
        int made = open(here, O_WRONLY | O_CREAT, 0600);
        if (made < 0) fail("open");
        close(made);
    }
    closedir(folder);
}

static int keep(int fd) {
    char link[64], path[PATH];
    struct stat about;
    live = getenv("DISK_LIVE"), synced = getenv("DISK_SYNCED");
    if (!live || !synced || getenv("DISK_LIES")) return 0;
    if (fstat(fd, &about) != 0) fail("fstat");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) fail("readlink");
    path[length] = 0;
    if (!strcmp(path, live)) keep_names();
    else if (!strncmp(path, live, strlen(live)) && S_ISREG(about.st_mode))
        keep_file(path, strrchr(path, '/') + 1);
    return 0;
}

int fsync(int fd) { return keep(fd); }
int fdatasync(int fd) { return keep(fd); }
