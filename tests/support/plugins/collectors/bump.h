/* The mutator's cursor and limit are its chunk's, and store[] holds the function that hands out the next one.
 */
static inline char *gcb_runtime_alloc(gcb_mutator *m, uint32_t references, size_t bytes) {
  (void)references;
  char *at = m->cursor;
  if (bytes > (size_t)(m->limit - at))
    at = ((char *(*)(gcb_mutator *, size_t))m->store[0])(m, bytes);
  m->cursor = at + bytes;
  return at;
}
