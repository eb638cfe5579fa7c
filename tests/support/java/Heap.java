/* The program of heap.hprof.gz (support/hprof.py has the commands): a table, what it holds, and one weak reference. */
import java.lang.ref.WeakReference;

public class Heap {
  static abstract class Base {
    long wide = 1;
    Object owner;
  }

  static final class Leaf extends Base {
    byte small;
    int[] numbers = new int[5];
  }

  static final Object[] TABLE = new Object[64];
  static WeakReference<Object> weak;

  public static void main(String[] arguments) throws Exception {
    for (int i = 0; i < TABLE.length; i++) {
      Leaf leaf = new Leaf();
      leaf.owner = TABLE;
      TABLE[i] = leaf;
    }
    weak = new WeakReference<>(new Leaf());
    System.out.println("ready");
    System.in.read();
  }
}
