// What JavaScript adds to pages that work without it: an order's news as they happen (server-sent
// events), clocks that run, and tables that keep themselves up to date.
"use strict";

// An order's page.
(function () {
  const live = document.getElementById("live");
  if (!live) return;
  const mark = document.getElementById("live-mark");
  const said = document.getElementById("said");

  // The server's clock decides, not the visitor's: only the difference is kept.
  let ahead = 0;

  function two(number) {
    return String(number).padStart(2, "0");
  }

  function runClock() {
    const clock = live.querySelector("[data-until]");
    if (!clock) return;
    const left = Math.max(0, Number(clock.dataset.until) - (Date.now() + ahead));
    const seconds = Math.ceil(left / 1000);
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    clock.querySelector(".left").textContent =
      seconds === 0 ? clock.dataset.over : (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(seconds % 60);
    clock.querySelector("progress").value = left;
  }

  function setClock() {
    const clock = live.querySelector("[data-until]");
    if (clock) ahead = Number(clock.dataset.now) - Date.now();
    runClock();
  }

  // A half-typed card number, and where one is on the page, outlive the arrival of news.
  function keepPlace() {
    const typed = new Map();
    for (const field of live.querySelectorAll("input[type=text], input[type=radio]")) {
      typed.set(field.id, field.type === "radio" ? field.checked : field.value);
    }
    const active = document.activeElement;
    const within = active && live.contains(active);
    const focused = within ? active.id : "";
    const link = within && !focused ? active.getAttribute("href") : "";
    return function restore() {
      for (const [id, value] of typed) {
        const field = id && document.getElementById(id);
        if (!field) continue;
        if (field.type === "radio") field.checked = value;
        else field.value = value;
      }
      const again = focused
        ? document.getElementById(focused)
        : link && Array.from(live.querySelectorAll("a")).find((one) => one.getAttribute("href") === link);
      if (again) again.focus({ preventScroll: true });
    };
  }

  // Read out only what is new, and from an element that stays: a replaced one is not listened to.
  function sayStatus() {
    const status = live.querySelector("[data-said]");
    return status ? status.dataset.said : "";
  }

  function show(html) {
    const known = new Set(Array.from(live.querySelectorAll("[data-event]"), (entry) => entry.dataset.event));
    const before = sayStatus();
    const restore = keepPlace();
    live.innerHTML = html;
    restore();
    for (const entry of live.querySelectorAll("[data-event]")) {
      if (!known.has(entry.dataset.event)) entry.classList.add("fresh");
    }
    if (said && sayStatus() !== before) said.textContent = sayStatus();
    setClock();
  }

  function say(on) {
    if (!mark) return;
    mark.hidden = false;
    mark.classList.toggle("on", on);
    mark.textContent = on ? "Live" : "Reconnecting";
  }

  let news;
  function listen() {
    news = new EventSource(live.dataset.events);
    news.addEventListener("open", () => say(true));
    news.addEventListener("order", (event) => show(event.data));
    news.addEventListener("error", () => {
      say(false);
      // After a broken line the browser connects anew by itself, but not after a refusal.
      if (news.readyState === EventSource.CLOSED) setTimeout(again, 5000);
    });
  }

  // Refused for now, or for good (logged out): then the order's page says why.
  async function again() {
    try {
      const answer = await fetch(live.dataset.events, { method: "HEAD" });
      if (!answer.ok && answer.status < 500 && answer.status !== 429) {
        location.assign(live.dataset.events.replace(/\/events$/, ""));
        return;
      }
    } catch {
      // Not even refused: the browser tells when it can connect.
    }
    listen();
  }

  listen();
  window.addEventListener("pagehide", () => news.close());
  // Back from the browser's memory of pages: what it shows may be old.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  setClock();
  setInterval(runClock, 500);
})();

// The operators' tables: the page is fetched again, and what changes in it is exchanged. A page that
// cannot be fetched is tried again; one that is none any more (logged out) ends it.
(function () {
  const fresh = document.getElementById("fresh");
  if (!fresh || !fresh.dataset.refresh) return;
  const pause = Number(fresh.dataset.refresh) * 1000;

  async function look() {
    if (document.hidden) return true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.status >= 500 || answer.status === 429) return true;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById("fresh");
      if (!answer.ok || !next) return false;
      if (next.innerHTML !== fresh.innerHTML) fresh.innerHTML = next.innerHTML;
      return true;
    } catch {
      return true;
    }
  }

  async function run() {
    if (await look()) setTimeout(run, pause);
    else location.reload();
  }

  setTimeout(run, pause);
})();
