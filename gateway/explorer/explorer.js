// GraphiQL over this gateway, with a log-in. The token stays in this page's memory:
// it is neither stored nor sent anywhere but to /graphql of this host.
"use strict";

const FIRST = `# Everybody may look at the catalogue; for the rest, log in above.
query Shelf {
  products(first: 5) {
    nodes { sku name price { amount currency } available }
    pageInfo { hasNextPage endCursor }
  }
}

query MyOrders {
  me { email role }
  orders(first: 5) {
    nodes {
      id status statusReason placedAt
      total { amount currency }
      lines { name quantity product { available } }
      timeline { at service summary }
    }
  }
}

mutation Order {
  placeOrder(input: { lines: [{ sku: "MUG-ENAMEL-BLUE", quantity: 1 }], card: "4242 4242 4242 4242" }) {
    id version status
  }
}

# Put an order's id in, and watch it become what it becomes.
subscription Watch {
  orderUpdated(id: "…") { version status statusReason timeline { at summary } }
}
`;

const socket = new URL("/graphql", location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";

let token = null;
const send = GraphiQL.createFetcher({ url: "/graphql", subscriptionUrl: socket.href });

// The headers editor has the last word.
const fetcher = (request, options) => {
  const given = options?.headers ?? {};
  const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
  if (token && !headers.authorization) headers.authorization = `Bearer ${token}`;
  return send(request, { ...options, headers });
};

async function ask(query, variables, bearer) {
  const headers = { "content-type": "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  const answer = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await answer.json();
  if (errors) {
    const [{ message, extensions }] = errors;
    throw new Error(extensions.retryAfter ? `${message} (${extensions.retryAfter} s)` : message);
  }
  return data;
}

const who = document.getElementById("who");
const out = document.getElementById("log-out");
const forms = [document.getElementById("log-in"), document.getElementById("token")];

function enter(account, known) {
  token = known;
  who.className = "";
  who.textContent = account ? `${account.email} (${account.role})` : "Nobody is logged in.";
  out.hidden = !account;
  for (const form of forms) form.hidden = Boolean(account);
}

function on(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await work(new FormData(form));
      for (const secret of form.querySelectorAll("[type=password]")) secret.value = "";
    } catch (error) {
      who.className = "wrong";
      who.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

on(forms[0], async (fields) => {
  const query = "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { token account { email role } } }";
  const { logIn } = await ask(query, { email: fields.get("email"), password: fields.get("password") });
  enter(logIn.account, logIn.token);
});

on(forms[1], async (fields) => {
  const given = fields.get("token").trim().replace(/^bearer\s+/i, "");
  const { me } = await ask("{ me { email role } }", {}, given);
  enter(me, me && given);
});

out.addEventListener("click", () => enter(null, null));

const element = React.createElement(GraphiQL, { fetcher, defaultQuery: FIRST, defaultEditorToolsVisibility: "variables" });
ReactDOM.createRoot(document.getElementById("explorer")).render(element);
