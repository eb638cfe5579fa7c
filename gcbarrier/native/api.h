/* What Python calls: gcbarrier.core.build reads include/records.h and this as cffi's cdef. Each call releases
 * the GIL. Functions returning int give 0, or -1 with the reason in gcb_error(). */
#include "include/records.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct gcb_space gcb_space;
typedef struct gcb_barrier_ops gcb_barrier_ops;

const char *gcb_error(void);
/* From now on this process tells where it was when it ends by a fault, or by SIGALRM. For the whole process.
 */
void gcb_report_crashes(void);
int gcb_load_barrier(const char *path, const gcb_barrier_ops **ops);
/* What a loaded barrier says of itself, which its Python file says as well. */
enum { GCB_TRACKS = 1, GCB_SNAPSHOT = 2, GCB_FORK = 4 };
uint32_t gcb_barrier_promises(const gcb_barrier_ops *ops);
int gcb_load_program(const char *path, gcb_program *program);

/* A heap of `bytes`, in memory of a kind (model.MEMORY_TYPES, in that order); ops may be null (no barrier).
 * hugetlb memory is a whole number of 2 MiB pages, which root has set aside. */
gcb_space *gcb_space_new(size_t bytes, uint32_t memory, const gcb_barrier_ops *ops, bool verify);
void gcb_space_free(gcb_space *space);
size_t gcb_metadata_bytes(const gcb_space *space);
/* Whether all of the collector's view is mapped by huge pages. */
bool gcb_alias_huge(const gcb_space *space);
/* Of the mutators' view, so many bytes are mapped by huge pages now; -1: nothing here tells. */
int64_t gcb_tracked_huge_bytes(const gcb_space *space);

/* A collector that brings its own memory (runtime.h), of so many bytes: the mutators allocate there, and the
 * space has nothing but their threads and events. Before they start. The others are for such a space alone.
 */
int gcb_adopt(gcb_space *space, const char *path, size_t bytes);
int gcb_foreign_collect(gcb_space *space);
uint64_t gcb_foreign_allocated_bytes(const gcb_space *space);
uint64_t gcb_foreign_collecting_ns(const gcb_space *space); /* in mutators' threads */
const char *gcb_foreign_facts(const gcb_space *space);      /* "name=value name=value" */
int gcb_foreign_check(const gcb_space *space);              /* -1: it did not stay what it was asked to be */

/* Mutators: started, served by the collector's thread until they have ended, joined.
 * operations: a limit for each mutator, or null for none; read during the call only. */
int gcb_start(gcb_space *space, const gcb_program *program, uint32_t mutators, uint64_t seed,
              const uint64_t *operations, const void *params, const void *blob, size_t blob_bytes);
/* Time every operation of the mutators, whose program is compiled with GCB_TIMED: before the start. */
void gcb_time_operations(gcb_space *space);
/* Before the start: mutator i runs on the processor cpus[i % count] and nowhere else. The collector's other
 * threads are where the thread is that makes them. */
int gcb_place_mutators(gcb_space *space, const uint32_t *cpus, size_t count);
/* After the join: what became of each mutator's thread. */
void gcb_get_ran(gcb_space *space, gcb_ran *each);
/* Stress, before the start, for mutators that are compiled with GCB_STRESS: at every so many safepoints, on
 * average, each waits until a whole cycle has gone by; what that frees is poisoned. */
int gcb_stress_mutators(gcb_space *space, uint64_t every);
/* What the collector's thread is wanted for: 0 nothing (time is up), 1 the trigger, 2 a mutator waits for
 * memory, 3 the heap is built, 4 all mutators have ended, 5 a stressed mutator waits for a cycle. */
int gcb_wait(gcb_space *space, uint64_t timeout_ns);
void gcb_finish(gcb_space *space);
/* Like gcb_finish(), and mutators that wait for memory fail: for a run that can't go on. */
void gcb_abandon(gcb_space *space);
void gcb_set_trigger(gcb_space *space, uint64_t bytes);
/* Whoever has not ended yet is told to, and is not served any more: after a collector's failure this ends the
 * run. The checksum is of the heap that is left, and refused where the oracle has found an object lost; null:
 * there is no need for one. */
int gcb_join(gcb_space *space, const gcb_program *program, uint64_t *checksum);
/* After the join: the operations that each mutator completed. */
void gcb_get_operations(gcb_space *space, uint64_t *each);
/* After the join: how many operations took how long, all mutators together; gcb_time_phases() times
 * gcb_time_buckets() counts. A bucket's number is gcb_time_bucket() of the nanoseconds. */
void gcb_get_operation_times(gcb_space *space, uint64_t *counts);
size_t gcb_time_phases(void);
size_t gcb_time_buckets(void);
size_t gcb_time_bucket(uint64_t ns);
/* The slowest operations of each mutator, in no order; how many. Without sleep of its own will. */
size_t gcb_get_slow_operations(gcb_space *space, gcb_slow_operation *slow, size_t capacity);
/* All of one mutator's, and where its first operation began; how many. Null: only that. 0: not all were kept.
 */
size_t gcb_get_stamps(gcb_space *space, uint32_t mutator, uint64_t *first_ns, gcb_stamp *stamps);
/* Nanoseconds that timing adds to each operation: the median of some thousand. */
double gcb_timing_cost_ns(void);
/* By all mutators since the start; at any time. */
uint64_t gcb_allocated_bytes(gcb_space *space);
void gcb_get_totals(gcb_space *space, gcb_totals *totals);
void gcb_get_verification(gcb_space *space, gcb_verification *verification);

/* How many threads mark from now on, the collector's among them: 1 to 8. Not while a phase is under way. */
int gcb_set_markers(gcb_space *space, uint32_t markers);
/* Of the threads that have marked for the collector's. */
uint64_t gcb_markers_cpu_ns(const gcb_space *space);

/* The phases of a cycle, called by the collector's thread only. */
int gcb_begin_cycle(gcb_space *space);
int gcb_arm(gcb_space *space, bool black); /* black: what is allocated from now on lives through this cycle */
int gcb_allocate_black_from_now(gcb_space *space);
/* In a pause of its own: arm, and mark from the roots as they are then. For snapshot barriers. */
int gcb_snapshot(gcb_space *space);
/* In a pause of its own: fork a child that marks from the roots. Then await it, for up to timeout_ns each
 * time: 1 it is done, 0 not yet (a signal also ends the wait). Then the pause that takes its marks over. */
int gcb_fork(gcb_space *space);
int gcb_await_child(gcb_space *space, uint64_t timeout_ns);
int gcb_flip(gcb_space *space);
int gcb_mark(gcb_space *space, bool roots);
/* Until the cycle's last stop: for how long each mutator is held up at each safepoint, where it rescans, or
 * sleeps if there is nothing to rescan. It slows the mutators down, so that they write less, and the rescans
 * up. */
void gcb_ask_to_help(gcb_space *space, uint64_t hold_ns);
int64_t gcb_collect(gcb_space *space, bool rearm, bool stopped);
int gcb_rescan(gcb_space *space);
/* How long rescanning what has been written since the last round would take in a pause, by what this run has
 * seen so far; infinite where that is not known yet. */
double gcb_left_ns(const gcb_space *space);
/* Right before the pause up to so many rounds, while they pay; 0 where the barrier does not re-arm
 * atomically. Where they leave more than half of what they find, and the rescan in the pause would take
 * longer than aim_ns, mutators are held up at safepoints. */
int gcb_remark(gcb_space *space, uint32_t rounds, uint64_t aim_ns);
int gcb_full(gcb_space *space);
int gcb_sweep(gcb_space *space);
void gcb_end_cycle(gcb_space *space);

/* Sticky marks, in a cycle, once and for all: from its last pause on the barrier stays armed, and the next
 * cycle begins with the old objects marked, those that have lived through `survivals` (1 or 2) cycles. Until
 * then, and after gcb_forget_marks(), a cycle looks at everything. */
int gcb_stick(gcb_space *space, uint32_t survivals);
int gcb_forget_marks(gcb_space *space);
/* With mutators running, in place of gcb_arm(): takes what was written since the last cycle, in a pause if it
 * has to be, and marks what the old objects there refer to; how many granules. Nothing is allocated black
 * yet.
 */
int64_t gcb_remember(gcb_space *space, bool stopped);
/* The whole of a minor cycle's marking, in a pause. */
int gcb_minor(gcb_space *space);
void gcb_get_generation(const gcb_space *space, gcb_generation *seen);

/* For prototypes whose pause holds Python: the pause is marked as that. Phases that stop the world may be
 * called in it. */
void gcb_stop(gcb_space *space);
void gcb_resume(gcb_space *space);

/* Moves events out, oldest first; how many. */
size_t gcb_take_events(gcb_space *space, void *events, size_t capacity);

/* The next space of this thread is a prototype's: its barrier calls these with `self`. */
void gcb_prototype_bind(int (*arm)(void *self),
                        int (*collect)(void *self, bool rearm, uint64_t *words, size_t pages), void *self);

/* What the barrier has counted beside its reports: the i-th count and its name; null behind the last. */
const char *gcb_tally_name(const gcb_space *space, size_t i);
uint64_t gcb_tally_count(const gcb_space *space, size_t i);

/* A barrier by itself, without a heap's cycle: on a space without mutators. */
char *gcb_space_address(const gcb_space *space); /* of the tracked view */
/* The calling thread is one that writes: a barrier that watches threads watches it. It may come while
 * armed. */
int gcb_watch_attach(gcb_space *space);
int gcb_watch_arm(gcb_space *space);
/* The granules reported by this call alone; their bits are in gcb_watch_words() until the next. */
int64_t gcb_watch_collect(gcb_space *space, bool rearm);
const uint64_t *gcb_watch_words(const gcb_space *space);
size_t gcb_granule_bytes(const gcb_space *space);

/* Windows' write watch, on a space without mutators: write_watch.h tells. */
int gcb_begin_write_watch(gcb_space *space);
int gcb_get_write_watch(gcb_space *space, uint32_t flags, void *base, size_t size, void **addresses,
                        size_t *count, uint32_t *granularity);
int gcb_reset_write_watch(gcb_space *space, void *base, size_t size);

/* What one store makes dirty: on a scratch heap, armed, one byte is written and what is reported is counted.
 * Bytes; 0 for a barrier that reports nothing; its own granule where it notices gcb_store() alone; -1 on
 * failure. */
int64_t gcb_measured_granule_bytes(uint32_t memory, const gcb_barrier_ops *ops);
/* Median nanoseconds of the first store to an armed page of a scratch heap; -1 on failure. */
int64_t gcb_fault_cost_ns(uint32_t memory, const gcb_barrier_ops *ops);

/* What the machine alone does to threads: so many that read the clock for duration_ns, `each` what it lost.
 * cpus: a processor for each; null: wherever the scheduler puts it. slice_ns: for as long as that another
 * thread has a processor whose turn it is. lengths: the first `capacity` gaps of each, in ns. */
int gcb_clock_gaps(uint32_t threads, const uint32_t *cpus, uint64_t duration_ns, uint64_t slice_ns,
                   gcb_gaps *each, uint64_t *lengths, size_t capacity);

/* The costs of a barrier by itself, on a space without mutators; `loop` is the path of the
 * compiled store_loop.c. Functions returning int64_t give nanoseconds, or -1 with the reason in gcb_error().
 */
typedef struct gcb_bench gcb_bench;
gcb_bench *gcb_bench_new(gcb_space *space, const char *loop);
void gcb_bench_free(gcb_bench *bench); /* before its space */
/* Objects of `stride` bytes all over the space, full of references. Not while armed. */
void gcb_bench_lay(gcb_bench *bench, size_t stride);
/* `each` stores into each of `places` objects, from the space's beginning, `stride` bytes apart. */
int64_t gcb_bench_store(gcb_bench *bench, size_t stride, size_t places, size_t each, uint32_t slots);
int64_t gcb_bench_arm(gcb_bench *bench);
int64_t gcb_bench_collect(gcb_bench *bench, bool rearm);
uint64_t gcb_bench_granules(const gcb_bench *bench); /* that the last collect reported */
/* From now on in place of the barrier the bare system calls of uffd-wp-async, or the barrier again. */
int gcb_bench_bare(gcb_bench *bench, bool bare);

/* What marking costs, on a space without mutators: a random graph of 64-byte objects with 4 references each,
 * from the space's beginning. Times are nanoseconds, or -1 with the reason in gcb_error(). */
typedef struct gcb_graph gcb_graph;
gcb_graph *gcb_graph_new(gcb_space *space, size_t objects, uint64_t seed);
void gcb_graph_free(gcb_graph *graph); /* before its space */
/* All that is reachable: by the plain loop, and by the framework's marker. */
int64_t gcb_graph_mark_plain(gcb_graph *graph);
int64_t gcb_graph_mark(gcb_graph *graph, uint32_t markers);
/* So many random pages, of a graph that was marked. */
int64_t gcb_graph_rescan(gcb_graph *graph, size_t pages, uint32_t markers);
uint64_t gcb_graph_objects(const gcb_graph *graph); /* visited, or looked at, by the last of these */

/* An array in a space without mutators, written page by page while another thread collects. */
typedef struct gcb_writing {
  uint64_t written, wall_ns, cpu_ns, faults; /* the writer's: pages; its own faults, and time, of which cpu_ns
                                                is without what it rested */
  uint64_t collects, collect_ns, collect_cpu_ns, reported; /* the tracker's, of all collects; pages */
} gcb_writing;
typedef struct gcb_writer gcb_writer;
/* `words` are written of each page, from its beginning; `atomic`: the writer goes on during a collect. */
gcb_writer *gcb_writer_new(gcb_space *space, uint32_t words, bool random, bool atomic);
void gcb_writer_free(gcb_writer *writer);     /* before its space */
int64_t gcb_writer_track(gcb_writer *writer); /* from now on; what arming took */
void gcb_writer_untrack(gcb_writer *writer);  /* the barrier is closed, and no page has anything left of it */
void gcb_writer_write(gcb_writer *writer, size_t pages); /* the first so many of its order, a word each */
/* Writes for so long, going on where it was; every_ns: from one collect, which arms again, to the next
 * one's beginning, 0: there are none. */
int gcb_writer_run(gcb_writer *writer, uint64_t duration_ns, uint64_t every_ns, gcb_writing *found);

/* The kernel's two ways of telling which pages were written, as bare system calls on a mapping of `bytes`:
 * what each step costs by itself. Functions returning int64_t give nanoseconds, or -1 with the reason in
 * gcb_error(). */
typedef struct gcb_ways gcb_ways;
enum { GCB_BY_NONE = 0, GCB_BY_SOFT_DIRTY = 1, GCB_BY_UFFD = 2 };
gcb_ways *gcb_ways_new(uint32_t way, size_t bytes, bool shared, bool huge);
void gcb_ways_free(gcb_ways *ways);
int gcb_ways_fill(gcb_ways *ways, bool present);   /* all pages are fresh: written once, or not there */
int gcb_ways_beside(gcb_ways *ways, size_t bytes); /* so much more is in the process, all of it there */
int64_t gcb_ways_arm(gcb_ways *ways);              /* nothing is done without a way */
int64_t gcb_ways_store(gcb_ways *ways, size_t first, size_t stride,
                       size_t count); /* in pages; a store each */
/* By PAGEMAP_SCAN, or by reading the page map's entries; `again`: and what was written is armed again. */
int64_t gcb_ways_collect(gcb_ways *ways, bool by_scan, bool again);
uint64_t gcb_ways_found(const gcb_ways *ways); /* pages, by the last one */
int64_t gcb_ways_fork(gcb_ways *ways);         /* the call itself; the child ends at once */

/* A page barrier over any mapping: what it makes of it when that is moved, grown or merged. The words hold a
 * bit for each page; most_bytes: the range will never be larger. */
typedef struct gcb_range_watch gcb_range_watch;
gcb_range_watch *gcb_range_open(const gcb_barrier_ops *ops, void *base, size_t bytes, size_t most_bytes);
void gcb_range_close(gcb_range_watch *watch);
void gcb_range_moved(gcb_range_watch *watch, void *base, size_t bytes);
int gcb_range_arm(gcb_range_watch *watch);
int64_t gcb_range_collect(gcb_range_watch *watch);
const uint64_t *gcb_range_words(const gcb_range_watch *watch);
