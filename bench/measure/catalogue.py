"""The catalogue query over HTTP, against the least that can answer it (`bench/bare.rs`).

First the two answers are compared byte by byte, headers included but for the date; then both are
loaded in turn by the same `wrk` with the same request: shop, bare, bare, shop.
"""

import json
import re
import shutil
import urllib.request

from .guard import Failed, Folder, Process, until
from .servers import output
from .shop import Shop, fresh_address

QUERY = """query Catalogue($first: Int) { products(first: $first) {
  edges { cursor node { sku name price { amount currency } available } }
  pageInfo { hasNextPage endCursor } totalCount
} }"""
BODY = json.dumps({"query": QUERY, "variables": {"first": 20}})
SCRIPT = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = %s
"""


def run(bench, mode):
    if not shutil.which("wrk"):
        raise Failed("wrk is not installed: apt-get install wrk")
    plan = bench.plan
    with Folder(bench.folder.path, "catalogue") as folder, Shop(bench, mode) as shop:
        shop.until_quiet()
        headers, answer = _ask(shop.url)
        if len(json.loads(answer)["data"]["products"]["edges"]) != 20:
            raise Failed("the shop does not have 20 products")
        (folder.path / "answer.json").write_bytes(answer)
        # A JSON text is a Lua text too, as long as nothing in it needs \\u.
        (folder.path / "post.lua").write_text(SCRIPT % json.dumps(BODY))
        address = f"{fresh_address()}:8080"
        argv = [bench.bare, address, folder.path / "answer.json"]
        bare = Process(Folder(bench.folder.path, "bare"), argv)
        try:
            until("the bare service answers", lambda: _answers(bare, f"http://{address}"))
            if _ask(f"http://{address}") != (headers, answer):
                raise Failed("the bare service does not answer the same bytes as the shop")
            rates = {"shop": [], "bare": []}
            for who in ["shop", "bare", "bare", "shop"]:
                bench.say(f"catalogue {mode}: {who}")
                url = shop.url if who == "shop" else f"http://{address}"
                rates[who].append(_wrk(folder.path / "post.lua", url, plan.connections, plan.catalogue_s))
        finally:
            bare.stop()
    per_s = {who: sum(found) / len(found) for who, found in rates.items()}
    figures = {f"{who}_per_s": rate for who, rate in per_s.items()}
    figures["ratio"] = per_s["shop"] / per_s["bare"]
    return {"figures": figures, "faults": [], "raw": {**rates, "bytes": len(answer)}}


def _answers(bare, url):
    bare.check()
    try:
        return bool(_ask(url))
    except OSError:
        return False


def _ask(url):
    """The headers but for the date, and the body."""
    request = urllib.request.Request(f"{url}/graphql", BODY.encode(), {"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        headers = {name.lower(): value for name, value in response.getheaders() if name.lower() != "date"}
        return headers, response.read()


def _wrk(script, url, connections, seconds):
    """Answers a second."""
    said = output(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"{url}/graphql"])
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise Failed(f"wrk was not answered as it should: {said.strip()[-300:]}")
    return float(found[1])
