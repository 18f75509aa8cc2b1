/*
** asroot.so: shows a server that insists on root rights what it wants to see, and gives it none.
**
** Preloaded, in front of reroot.so, into Postfix and OpenSMTPD of the suite and into nothing else; no part of the
** library. Their masters refuse to run for anybody but root, since they hand each of their processes to another
** user and shut some of them into a folder. Here all of them stay the user who runs them: what asks who that is
** hears "root", what changes it succeeds and changes nothing, and a changed root is a prefix that reroot.so puts
** before each path. So the real machine sees one process without rights, in a folder of its own.
** With LM_ALL_ROOT in the environment every user that is asked for is root, and every file is root's: for a server
** that compares owners.
** One more thing stands here because it is OpenSMTPD's, too: 6.8 loses its hold on a key with OpenSSL 3 (below).
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Who this process believes to be: its effective and real user and group. Some look whether a change took place. */
static uid_t real_user, user;
static gid_t real_group, group;

#define ASKED(type, name, value)                                                                   \
  type name(void) {                                                                                \
    return value;                                                                                  \
  }
ASKED(uid_t, getuid, real_user)
ASKED(uid_t, geteuid, user)
ASKED(gid_t, getgid, real_group)
ASKED(gid_t, getegid, group)

/* Succeeds, and changes nothing outside of this process. */
#define GRANTED(name, types, remember)                                                             \
  int name types {                                                                                 \
    remember;                                                                                      \
    return 0;                                                                                      \
  }
GRANTED(setuid, (uid_t id), real_user = user = id)
GRANTED(setgid, (gid_t id), real_group = group = id)
GRANTED(seteuid, (uid_t id), user = id)
GRANTED(setegid, (gid_t id), group = id)
GRANTED(setresuid, (uid_t r, uid_t e, uid_t s), (real_user = r, user = e, (void)s))
GRANTED(setresgid, (gid_t r, gid_t e, gid_t s), (real_group = r, group = e, (void)s))
GRANTED(setgroups, (size_t n, const gid_t *list), ((void)n, (void)list))
GRANTED(initgroups, (const char *name, gid_t id), ((void)name, (void)id))
GRANTED(chown, (const char *path, uid_t u, gid_t g), ((void)path, (void)u, (void)g))
GRANTED(lchown, (const char *path, uid_t u, gid_t g), ((void)path, (void)u, (void)g))
GRANTED(fchown, (int fd, uid_t u, gid_t g), ((void)fd, (void)u, (void)g))

/* The prefix is kept in the environment, where reroot.so and this process's children find it. */
int chroot(const char *path) {
  return setenv("LM_CHROOT", path, 1);
}

static int all_root(void) {
  return getenv("LM_ALL_ROOT") != NULL;
}

struct passwd *getpwnam(const char *name) {
  return all_root() ? getpwuid(0) : NEXT(getpwnam)(name);
}

struct group *getgrnam(const char *name) {
  return all_root() ? getgrgid(0) : NEXT(getgrnam)(name);
}

int stat(const char *path, struct stat *st) {
  int failed = NEXT(stat)(path, st);
  if (failed == 0 && all_root()) st->st_uid = 0, st->st_gid = 0;
  return failed;
}

int fstat(int fd, struct stat *st) {
  int failed = NEXT(fstat)(fd, st);
  if (failed == 0 && all_root()) st->st_uid = 0, st->st_gid = 0;
  return failed;
}

/*
** OpenSMTPD's server processes have no private keys: they mark the public one as theirs, and have another process
** sign. OpenSSL 3 hands them a copy to mark, so nobody finds the mark; here the copy takes the place of the key.
*/
#define KEPT(kind)                                                                                 \
  void *EVP_PKEY_get1_##kind(void *key) {                                                          \
    void *(*get)(void *) = (void *(*)(void *))dlsym(RTLD_NEXT, "EVP_PKEY_get1_" #kind);            \
    int (*set)(void *, void *) =                                                                   \
        (int (*)(void *, void *))dlsym(RTLD_NEXT, "EVP_PKEY_set1_" #kind);                         \
    void *copy = get(key);                                                                         \
    return copy != NULL && set(key, copy) ? copy : NULL;                                           \
  }
KEPT(RSA)
KEPT(EC_KEY)
