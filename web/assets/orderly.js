// What JavaScript adds to an order's page: news as they happen (server-sent events) and a clock
// that runs. Without it the page is the same, and is refreshed by hand or by the browser.
"use strict";

(function () {
  const live = document.getElementById("live");
  if (!live) return;
  const mark = document.getElementById("live-mark");

  // The server's clock decides, not the visitor's: only the difference is kept.
  let ahead = 0;

  function two(number) {
    return String(number).padStart(2, "0");
  }

  function runClock() {
    const clock = live.querySelector("[data-pay-before]");
    if (!clock) return;
    const left = Math.max(0, Number(clock.dataset.payBefore) - (Date.now() + ahead));
    const seconds = Math.ceil(left / 1000);
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    clock.querySelector("[data-left]").textContent =
      seconds === 0 ? "time is up" : (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(seconds % 60);
    clock.querySelector("progress").value = left;
  }

  function setClock() {
    const clock = live.querySelector("[data-pay-before]");
    if (clock) ahead = Number(clock.dataset.now) - Date.now();
    runClock();
  }

  // A half-typed card number outlives the arrival of news.
  function keepForm() {
    const typed = new Map();
    for (const field of live.querySelectorAll("input[type=text], input[type=radio]")) {
      typed.set(field.id, field.type === "radio" ? field.checked : field.value);
    }
    const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement.id : "";
    return function restore() {
      for (const [id, value] of typed) {
        const field = id && document.getElementById(id);
        if (!field) continue;
        if (field.type === "radio") field.checked = value;
        else field.value = value;
      }
      const again = focused && document.getElementById(focused);
      if (again) again.focus({ preventScroll: true });
    };
  }

  function show(html) {
    const known = new Set(Array.from(live.querySelectorAll("[data-event]"), (entry) => entry.dataset.event));
    const restore = keepForm();
    live.innerHTML = html;
    restore();
    for (const entry of live.querySelectorAll("[data-event]")) {
      if (!known.has(entry.dataset.event)) entry.classList.add("fresh");
    }
    setClock();
  }

  function say(on) {
    if (!mark) return;
    mark.hidden = false;
    mark.classList.toggle("on", on);
    mark.textContent = on ? "Live" : "Reconnecting";
  }

  const news = new EventSource(live.dataset.events);
  news.addEventListener("open", () => say(true));
  news.addEventListener("error", () => say(false));
  news.addEventListener("order", (event) => show(event.data));
  window.addEventListener("pagehide", () => news.close());
  // Back from the browser's memory of pages: what it shows may be old.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  setClock();
  setInterval(runClock, 500);
})();
