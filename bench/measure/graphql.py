"""A small client of the shop's GraphQL, for what the generator does not do."""

import http.client
import json
import urllib.parse

from .guard import Failed


class Client:
    """One kept-alive connection, logged in or not. Not for several threads."""

    def __init__(self, url, token=None):
        address = urllib.parse.urlsplit(url)
        self.token = token
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def post(self, body):
        """Sends a body as it is; gives status and bytes."""
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        self._connection.request("POST", "/graphql", body=body, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def ask(self, query, **variables):
        """The answer's data; fails with the first error's text."""
        status, answer = self.post(json.dumps({"query": query, "variables": variables}))
        try:
            answer = json.loads(answer)
        except ValueError:
            raise Failed(f"the shop answered {status} and no JSON") from None
        if answer.get("errors"):
            error = answer["errors"][0]
            raise Failed(f"the shop refused ({error.get('extensions', {}).get('code')}): {error['message']}")
        return answer["data"]

    def log_in(self, email, password="orderly"):
        query = "mutation($e: String!, $p: String!) { logIn(email: $e, password: $p) { token } }"
        self.token = self.ask(query, e=email, p=password)["logIn"]["token"]
        return self

    def sign_up(self, email, password):
        query = "mutation($e: String!, $p: String!) { signUp(email: $e, password: $p) { token } }"
        self.token = self.ask(query, e=email, p=password)["signUp"]["token"]
        return self

    def page(self):
        """Whether the first page comes, whole and with products on it."""
        self._connection.request("GET", "/")
        response = self._connection.getresponse()
        return response.status == 200 and len(response.read()) > 1_000

    def close(self):
        self._connection.close()


def operator(url):
    return Client(url).log_in("operator@example.com")


def stored_orders(url):
    """How many orders the shop has, by its own read model."""
    return operator(url).ask("{ orders(first: 1) { totalCount } }")["orders"]["totalCount"]
