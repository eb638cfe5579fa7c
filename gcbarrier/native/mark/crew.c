/* Several markers. They are awake only while there is much to do: then each takes regions that nobody owns,
 * as it finds them. The collector's thread is one of them, and does what is little by itself.
 *
 * There is no protocol that has to find out whether everything is marked. A phase ends as soon as all markers
 * find it poor; what is left by then lies in parcels and grey bits, and the collector's thread, alone again,
 * takes it from there (gcb_drain()). Ending a phase too early costs time, never an object. */
#include "mark/regions.h"
#include "base/bell.h"
#include "include/event.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct mate {
  gcb_marker marker;
  pthread_t thread;
  size_t index;
} mate;

typedef struct gcb_crew {
  gcb_bell bell;           /* a phase begins, or all is over */
  _Atomic uint32_t active; /* markers that work; 0: no phase. From 0 only the collector's thread counts on. */
  _Atomic bool ending;
  _Atomic uint32_t wanted; /* mates that are to take part */
  uint32_t mates;          /* that exist */
  mate *all[GCB_MARKERS];
} gcb_crew;

/* False: the phase is over.
 * acquire: what the collector's thread wrote before it began the phase is seen. */
static bool join_phase(gcb_crew *crew) {
  uint32_t active = atomic_load_explicit(&crew->active, memory_order_relaxed);
  while (active > 0)
    if (atomic_compare_exchange_weak_explicit(&crew->active, &active, active + 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  return false;
}

/* While the phase goes on without this marker: true when there is work for it again. The phase is short, and
 * may be a pause, so it hardly sleeps. */
static bool rest(gcb_marking *marking) {
  uint64_t start_ns = gcb_now_ns();
  /* acquire: the collector's thread sees all that the others wrote before they came to rest */
  while (atomic_load_explicit(&marking->crew->active, memory_order_acquire) > 0) {
    if (gcb_regions_wait(marking) && join_phase(marking->crew))
      return true;
    uint64_t rested_ns = gcb_now_ns() - start_ns;
    if (rested_ns > 1000000 || (!marking->spins && rested_ns > 10000))
      nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    else
      for (int turn = 0; turn < 32; turn++)
        gcb_relax();
  }
  return false;
}

/* One of the active markers, until the phase is over. */
static void work(gcb_marker *marker, size_t start) {
  gcb_marking *marking = marker->marking;
  do {
    while (gcb_visit_regions(marker, start))
      ;
    gcb_publish_open(marker); /* before it rests: nobody else can reach what it holds */
    /* release: pairs with rest() of whoever goes on alone */
    atomic_fetch_sub_explicit(&marking->crew->active, 1, memory_order_acq_rel);
  } while (rest(marking));
}

static void *help(void *argument) {
  mate *self = argument;
  gcb_crew *crew = self->marker.marking->crew;
  for (;;) {
    uint32_t seen = gcb_heard(&crew->bell);
    if (atomic_load_explicit(&crew->ending, memory_order_acquire))
      return NULL;
    /* relaxed: a hint. Whoever takes part without need does no harm. */
    uint32_t wanted = atomic_load_explicit(&crew->wanted, memory_order_relaxed);
    if (self->index <= wanted && join_phase(crew))
      work(&self->marker, self->index * self->marker.marking->region_count / (wanted + 1));
    gcb_wait_for(&crew->bell, seen, 0);
  }
}

/* Outside of phases: what the mates have counted becomes the collector's. */
static void add_up(gcb_marking *marking) {
  for (uint32_t i = 0; i < marking->crew->mates; i++) {
    gcb_marker *marker = &marking->crew->all[i]->marker;
    marking->marker.objects += marker->objects;
    marking->helped += marker->objects;
    marking->marker.bytes += marker->bytes;
    marking->marker.aged += marker->aged;
    marker->objects = marker->bytes = marker->aged = 0;
  }
}

void gcb_mark_together(gcb_marking *marking) {
  gcb_crew *crew = marking->crew;
  gcb_spill_stack(marking);
  if (crew && atomic_load_explicit(&crew->wanted, memory_order_relaxed) > 0) {
    /* release: pairs with join_phase() */
    atomic_store_explicit(&crew->active, 1, memory_order_release);
    gcb_ring(&crew->bell);
    work(&marking->marker, 0);
    add_up(marking);
  } else {
    while (gcb_visit_regions(&marking->marker, 0))
      ;
    gcb_publish_open(&marking->marker);
  }
  gcb_look_up_rest(marking);
}

static mate *new_mate(gcb_marking *marking, size_t index) {
  mate *one = calloc(1, sizeof *one);
  if (!one)
    return NULL;
  one->index = index;
  gcb_marker *marker = &one->marker;
  *marker = (gcb_marker){.marking = marking, .capacity = marking->marker.capacity, .region = GCB_NO_REGION};
  size_t stack = marker->capacity * sizeof *marker->stack,
         open = marking->region_count * sizeof *marker->open;
  marker->stack = malloc(stack);
  marker->open = calloc(1, open);
  /* Signals are for the interpreter's threads. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool fine = marker->stack && marker->open && pthread_create(&one->thread, NULL, help, one) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (fine) {
    char name[16];
    snprintf(name, sizeof name, "gcb-marker-%u", (unsigned)index % 100);
    (void)pthread_setname_np(one->thread, name);
    marking->metadata_bytes += sizeof *one + stack + open;
    return one;
  }
  free(marker->stack);
  free(marker->open);
  free(one);
  return NULL;
}

int gcb_marking_set_markers(gcb_marking *marking, uint32_t markers) {
  if (markers < 1 || markers > GCB_MARKERS)
    return gcb_set_error("1 to %d markers can mark, not %u", GCB_MARKERS, (unsigned)markers);
  if (!marking->crew && markers > 1 && !(marking->crew = calloc(1, sizeof *marking->crew)))
    return gcb_set_error("no memory for the markers");
  gcb_crew *crew = marking->crew;
  if (!crew)
    return 0;
  while (crew->mates + 1 < markers) {
    mate *one = new_mate(marking, crew->mates + 1);
    if (!one)
      return gcb_set_error("a marker's thread could not be made: ask for fewer than %u markers",
                           (unsigned)markers);
    crew->all[crew->mates++] = one;
  }
  atomic_store_explicit(&crew->wanted, markers - 1, memory_order_relaxed);
  return 0;
}

uint64_t gcb_marking_helpers_cpu_ns(const gcb_marking *marking) {
  uint64_t sum = 0;
  for (uint32_t i = 0; marking->crew && i < marking->crew->mates; i++) {
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(marking->crew->all[i]->thread, &clock) == 0 && clock_gettime(clock, &used) == 0)
      sum += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
  }
  return sum;
}

void gcb_crew_free(gcb_marking *marking) {
  gcb_crew *crew = marking->crew;
  if (!crew)
    return;
  atomic_store_explicit(&crew->ending, true, memory_order_release);
  gcb_ring(&crew->bell);
  for (uint32_t i = 0; i < crew->mates; i++) {
    mate *one = crew->all[i];
    pthread_join(one->thread, NULL);
    free(one->marker.stack);
    free(one->marker.open);
    free(one);
  }
  free(crew);
  marking->crew = NULL;
}
