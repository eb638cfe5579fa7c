"""SQLite: writes the statements that its shell is to run, the same each time.

A table with two indices is filled, updated at random, in part deleted, filled again and summed up, in transactions of a
few hundred rows, over a database in a file with its page cache and its journal in memory.
"""

import random
import sys

HEAD = """.open --new orders.db
PRAGMA page_size=4096;
PRAGMA cache_size=-48000;
PRAGMA journal_mode=MEMORY;
PRAGMA synchronous=OFF;
PRAGMA temp_store=MEMORY;
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, state TEXT, note TEXT);
CREATE INDEX by_customer ON orders(customer);
CREATE INDEX by_state ON orders(state, amount);
"""


def statements(rounds: int) -> str:
    """The whole script."""
    chance = random.Random(1)
    said, rows = [HEAD], 0
    for number in range(rounds):
        said.append("BEGIN;")
        if number < rounds // 3 or number % 8 == 0:
            many = 1_500
            values = ",".join(
                f"({chance.randrange(20_000)},{chance.randrange(10**6)},'{chance.choice(('open', 'paid', 'sent'))}',"
                f"'{'n' * chance.randrange(10, 80)}')"
                for _ in range(many)
            )
            said.append(f"INSERT INTO orders(customer, amount, state, note) VALUES {values};")
            rows += many
        for _ in range(120):
            row = chance.randrange(1, rows + 1)
            said.append(f"UPDATE orders SET amount = amount + {chance.randrange(100)} WHERE id = {row};")
        for _ in range(30):
            state = chance.choice(("open", "paid", "sent"))
            said.append(f"UPDATE orders SET state = '{state}' WHERE customer = {chance.randrange(20_000)};")
        if number % 4 == 3:
            first = chance.randrange(1, rows + 1)
            said.append(f"DELETE FROM orders WHERE id BETWEEN {first} AND {first + 100};")
        said.append("COMMIT;")
        if number % 16 == 15:
            said.append("SELECT state, count(*), sum(amount) FROM orders GROUP BY state;")
        if number % 32 == 31:
            said.append("SELECT max(n) FROM (SELECT customer, count(*) n FROM orders GROUP BY customer ORDER BY n);")
    return "\n".join([*said, "SELECT count(*) FROM orders;"])


if __name__ == "__main__":
    print(statements(int(sys.argv[1])))
