/*
** record.c: answers of the DNS as rows, read by c-ares.
*/
#include "os/record.h"

#include <sys/select.h> /* before ares.h, which names fd_set */

#include <ares.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct rows {
  struct lm_record *at;
  size_t count;
  bool short_of_memory; /* what is there is not all of it, and must not pass for it */
};

int lm_record_number(enum lm_record_type type) {
  switch (type) {
  case LM_RECORD_MX: return 15;
  case LM_RECORD_SRV: return 33;
  case LM_RECORD_TXT: return 16;
  case LM_RECORD_PTR: return 12;
  case LM_RECORD_ADDRESS: break;
  }
  return 0;
}

/* A new row with a copy of `text`; NULL where memory is short or there are enough of them. */
static struct lm_record *add(struct rows *rows, const char *text, size_t n) {
  struct lm_record *row;
  if (rows->count >= LM_RECORDS) return NULL;
  row = &rows->at[rows->count];
  if ((row->text = malloc(n + 1)) == NULL) {
    rows->short_of_memory = true;
    return NULL;
  }
  memcpy(row->text, text, n);
  row->text[n] = '\0';
  row->n = n;
  rows->count++;
  return row;
}

static int parse_mx(const unsigned char *answer, int n, struct rows *rows) {
  struct ares_mx_reply *list = NULL, *one;
  int status = ares_parse_mx_reply(answer, n, &list);
  for (one = list; one; one = one->next) {
    struct lm_record *row = add(rows, one->host, strlen(one->host));
    if (row) row->priority = one->priority;
  }
  ares_free_data(list);
  return status;
}

static int parse_srv(const unsigned char *answer, int n, struct rows *rows) {
  struct ares_srv_reply *list = NULL, *one;
  int status = ares_parse_srv_reply(answer, n, &list);
  for (one = list; one; one = one->next) {
    struct lm_record *row = add(rows, one->host, strlen(one->host));
    if (row == NULL) continue;
    row->priority = one->priority;
    row->weight = one->weight;
    row->port = one->port;
  }
  ares_free_data(list);
  return status;
}

/* The strings of one record are joined (RFC 7208 §3.3); a new record begins a new row. */
static int parse_txt(const unsigned char *answer, int n, struct rows *rows) {
  struct ares_txt_ext *list = NULL, *one;
  int status = ares_parse_txt_reply_ext(answer, n, &list);
  struct lm_record *row = NULL;
  for (one = list; one; one = one->next) {
    char *longer;
    if (one->record_start || row == NULL) {
      row = add(rows, (const char *)one->txt, one->length);
      if (row == NULL) break;
      continue;
    }
    if ((longer = realloc(row->text, row->n + one->length + 1)) == NULL) {
      status = ARES_ENOMEM;
      break;
    }
    memcpy(longer + row->n, one->txt, one->length);
    row->text = longer;
    row->n += one->length;
    longer[row->n] = '\0';
  }
  ares_free_data(list);
  return status;
}

/* c-ares makes a host of the answer, whose other names are all that the address has. */
static int parse_ptr(const unsigned char *answer, int n, struct rows *rows) {
  struct hostent *host = NULL;
  int status = ares_parse_ptr_reply(answer, n, NULL, 0, AF_INET, &host);
  char **one;
  if (status != ARES_SUCCESS) return status;
  for (one = host->h_aliases; one && *one; one++) add(rows, *one, strlen(*one));
  ares_free_hostent(host);
  return status;
}

int lm_record_parse(enum lm_record_type type, const unsigned char *answer, int n,
                    struct lm_record **rows_out, size_t *count_out) {
  struct rows rows = {calloc(LM_RECORDS, sizeof *rows.at), 0, false};
  int status = ARES_ENOMEM;
  *rows_out = NULL;
  *count_out = 0;
  if (rows.at == NULL) return status;
  if (type == LM_RECORD_MX) status = parse_mx(answer, n, &rows);
  if (type == LM_RECORD_SRV) status = parse_srv(answer, n, &rows);
  if (type == LM_RECORD_TXT) status = parse_txt(answer, n, &rows);
  if (type == LM_RECORD_PTR) status = parse_ptr(answer, n, &rows);
  if (status == ARES_SUCCESS && rows.count == 0) status = ARES_ENODATA;
  if (status == ARES_EBADNAME) status = ARES_EBADRESP; /* the answer's fault, not the question's */
  if (rows.short_of_memory) status = ARES_ENOMEM;
  *rows_out = rows.at;
  *count_out = rows.count;
  return status;
}

void lm_record_free(struct lm_record *rows, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) free(rows[i].text);
  free(rows);
}
