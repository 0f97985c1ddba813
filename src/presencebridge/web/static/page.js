// Draws the board anew when the service says that something changed. No more than that.
"use strict";

const board = document.getElementById("board");
const live = document.getElementById("live");

function show(state, text) {
  live.dataset.state = state;
  live.textContent = text;
}

function localTimes() {
  for (const time of board.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString();
  }
}

let drawing = false;
let again = false;

async function draw() {
  if (drawing) {
    again = true;
    return;
  }
  drawing = true;
  try {
    const answer = await fetch("rows");
    if (answer.ok) {
      board.innerHTML = await answer.text();
      localTimes();
      show("live", "live");
    }
  } catch {
    show("lost", "not connected: trying again");
  }
  drawing = false;
  if (again) {
    again = false;
    draw();
  }
}

const events = new EventSource("api/events");
events.addEventListener("changed", draw);
events.addEventListener("error", () => show("lost", "not connected: trying again"));
localTimes();
