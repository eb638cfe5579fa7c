import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * A JVM program that allocates, keeps and changes: a cache, an ordered index, words counted, and arrays shuffled. Each
 * round does a bit of all four, so that it runs steadily. Same work each time.
 */
public final class Work {
    record Order(long id, String customer, int[] lines, double total) {}

    private static final class Cache extends LinkedHashMap<Integer, Order> {
        private final int most;

        Cache(int most) {
            super(16, 0.75f, true); // the least recently used goes
            this.most = most;
        }

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Order> eldest) {
            return size() > most;
        }
    }

    private final SplittableRandom chance = new SplittableRandom(1);
    private final Cache cache = new Cache(30_000);
    private final TreeMap<Long, Order> index = new TreeMap<>();
    private final Map<String, Integer> counts = new HashMap<>();
    private final List<long[]> tables = new ArrayList<>();
    private long next;

    private Work() {
        for (int at = 0; at < 64; at++) tables.add(new long[8_192]);
    }

    private int skewed(int bound) {
        double share = chance.nextDouble();
        return (int) (bound * share * share * share);
    }

    private void orders(int many) {
        for (int at = 0; at < many; at++) {
            int key = skewed(100_000);
            Order known = cache.get(key);
            if (known == null) {
                int[] lines = new int[1 + chance.nextInt(20)];
                for (int line = 0; line < lines.length; line++) lines[line] = chance.nextInt(1_000);
                cache.put(key, new Order(next++, "customer " + key % 997, lines, chance.nextDouble()));
            } else {
                known.lines()[chance.nextInt(known.lines().length)]++;
            }
        }
    }

    private void indexed(int many) {
        for (int at = 0; at < many; at++) {
            long id = chance.nextLong(1L << 30);
            index.put(id, new Order(id, "c" + at, new int[4], at));
            if (index.size() > 60_000) index.pollFirstEntry();
            if (index.size() > 60_000) index.remove(index.ceilingKey(id / 2));
        }
    }

    private void words(int lines) {
        for (int line = 0; line < lines; line++) {
            StringBuilder text = new StringBuilder();
            for (int at = 0; at < 40; at++) text.append("word").append(skewed(20_000)).append(' ');
            for (String word : text.toString().split(" ")) counts.merge(word, 1, Integer::sum);
        }
    }

    private void shuffled(int many) {
        for (int at = 0; at < many; at++) {
            long[] table = tables.get(chance.nextInt(tables.size()));
            int from = chance.nextInt(table.length), to = chance.nextInt(table.length);
            long kept = table[from];
            table[from] = table[to] + 1;
            table[to] = kept;
        }
    }

    public static void main(String[] arguments) {
        int rounds = Integer.parseInt(arguments[0]);
        Work work = new Work();
        for (int round = 0; round < rounds; round++) {
            work.orders(4_000);
            work.indexed(1_000);
            work.words(150);
            work.shuffled(2_000);
        }
        System.out.println(work.cache.size() + " " + work.index.size() + " " + work.counts.size());
    }
}
