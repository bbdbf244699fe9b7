"""Oversell: more buyers than units, all at once, again and again; and how many of them were paid.

Each buyer is an account with a connection of its own. They wait at a barrier, then all of them
place an order for one unit with a card that the bank approves. An order is paid if it comes to
CONFIRMED; whoever gets nothing has to be told REJECTED.
"""

import threading
import time
import uuid

from .graphql import Client, operator
from .guard import Failed
from .shop import Shop

PLACE = """mutation($sku: ID!, $key: String!) {
  placeOrder(input: {lines: [{sku: $sku, quantity: 1}], card: "4242 4242 4242 4242", idempotencyKey: $key}) { id }
}"""
WANT = "query($id: ID!) { order(id: $id) { status } }"
STOCK = "query($sku: ID!) { product(sku: $sku) { available } }"
PAID = {"CONFIRMED", "SHIPPED", "DELIVERED"}
PATIENCE = 60.0


def run(bench, mode):
    plan = bench.plan
    with Shop(bench, mode) as shop:
        bench.say(f"oversell {mode}: {plan.buyers} accounts")
        customers = [_customer(shop.url, number) for number in range(plan.buyers)]
        seller, paid, faults = operator(shop.url), [], []
        for number in range(plan.rounds):
            bench.say(f"oversell {mode}: round {number + 1} of {plan.rounds}")
            sku = f"SCARCE-{number + 1}"
            _offer(seller, sku, plan.units)
            ends = _buy_at_once(customers, sku)
            paid.append(sum(end in PAID for end in ends))
            others = sorted({end for end in ends if end not in PAID | {"REJECTED"}})
            left = seller.ask(STOCK, sku=sku)["product"]["available"]
            if others:
                faults.append(f"round {number + 1}: some buyers' ends are {', '.join(others)}")
            if left != plan.units - paid[-1]:
                faults.append(f"round {number + 1}: {paid[-1]} of {plan.units} are paid and {left} are left")
        audit = shop.audit()
    faults += [f"audit: {rule}" for rule in audit["breached"]]
    figures = {"paid_min": min(paid), "paid_max": max(paid), "audit.rules": audit["rules"]}
    figures["rounds_right"] = sum(count == plan.units for count in paid)
    return {"figures": figures, "faults": faults, "raw": {"paid": paid, "buyers": plan.buyers, "units": plan.units}}


def _customer(url, number):
    return Client(url).sign_up(f"buyer-{number}@example.com", "a-password-of-the-benchmark")


def _offer(seller, sku, units):
    """A new product with so many units, seen in the catalogue."""
    price = {"amount": 1250, "currency": "GBP"}
    product = {"sku": sku, "name": f"Scarce thing {sku}", "price": price}
    seller.ask("mutation($i: ProductInput!) { upsertProduct(input: $i) { sku } }", i=product)
    seller.ask("mutation($s: ID!, $d: Int!) { adjustStock(sku: $s, delta: $d) { sku } }", s=sku, d=units)
    deadline = time.monotonic() + PATIENCE
    while (seller.ask(STOCK, sku=sku)["product"] or {}).get("available") != units:
        if time.monotonic() > deadline:
            raise Failed(f"{sku} is not seen in the catalogue")
        time.sleep(0.01)


def _buy_at_once(customers, sku):
    """What became of each buyer's order."""
    ends = [None] * len(customers)
    barrier = threading.Barrier(len(customers))

    def buy(number):
        try:
            barrier.wait(PATIENCE)
            ends[number] = _buy(customers[number], sku)
        except (Failed, OSError, threading.BrokenBarrierError) as error:
            ends[number] = f"failed: {error}"

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(len(customers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def _buy(customer, sku):
    order = customer.ask(PLACE, sku=sku, key=str(uuid.uuid4()))["placeOrder"]["id"]
    deadline = time.monotonic() + PATIENCE
    status = None
    while time.monotonic() < deadline:
        found = customer.ask(WANT, id=order)["order"]
        status = found["status"] if found else "unseen"
        if status in PAID | {"REJECTED", "CANCELLED", "EXPIRED", "REFUNDED"}:
            return status
        time.sleep(0.02)
    return f"still {status}"
