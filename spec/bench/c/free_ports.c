/* Prints as many free TCP ports of 127.0.0.1 as its argument says, for servers that cannot bind
** port 0 themselves.
**
** All are bound at the same time, so they differ; they are free again when it ends.
*/
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bench.h"

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 1;
  for (int i = 0; i < count; i++) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0) bench_die("bind");
    if (getsockname(fd, (struct sockaddr *)&at, &n) != 0) bench_die("getsockname");
    printf("%d\n", ntohs(at.sin_port));
  }
  return 0;
}
