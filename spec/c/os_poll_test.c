/*
** os_poll_test.c: the poller as this system has it (epoll on Linux).
*/
#define _POSIX_C_SOURCE 200809L

#include "poll_checks.h"

int main(void) {
  return run_checks();
}
