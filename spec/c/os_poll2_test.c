/*
** os_poll2_test.c: the poller as a system without epoll has it: poll.c once more, told so.
*/
#define LM_EPOLL 0
#define lm_now lm_now_2
#define lm_poll_new lm_poll_new_2
#define lm_poll_free lm_poll_free_2
#define lm_poll_park lm_poll_park_2
#define lm_poll_unpark lm_poll_unpark_2
#define lm_poll_forget lm_poll_forget_2
#define lm_poll_wait lm_poll_wait_2
#define lm_poll_take lm_poll_take_2
#define lm_poll_fd lm_poll_fd_2
#define lm_poll_one lm_poll_one_2

#include "../../csrc/os/poll.c"

#include "poll_checks.h"

int main(void) {
  return run_checks();
}
