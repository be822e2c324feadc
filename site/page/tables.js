// All tables of the page: cells, stored devices, and the controller, which is prepared after the first picture.

import { inNatsOrder, unpack } from "arrays";
import { Cells } from "cells";
import { Controller } from "controller";
import { Network } from "network";

export const about = JSON.parse(document.getElementById("about").textContent);

/** A score from twice the place of each cell among the values in ascending order. */
const atPlaces = (twice, ascending) =>
  Float32Array.from(twice, (place) => (ascending[place >> 1] + ascending[(place + 1) >> 1]) / 2);

/** Cells, and of each data set the scores by name and the accuracy in %, by cell. */
export async function loadCells() {
  const found = await unpack("cells"), { order } = found, cells = new Cells(order, about);
  const column = (name) => inNatsOrder(found[name], order);
  const sets = Object.keys(about.datasets).map((name) => [name, {
    scores: Object.fromEntries(Object.keys(about.scores).map((score) =>
      [score, atPlaces(column(`places/${name}/${score}`), found[`quantiles/${name}`])])),
    accuracy: Float32Array.from(column(`accuracy/${name}`), (hundredths) => hundredths / 100),
  }]);
  return { cells, datasets: Object.fromEntries(sets) };
}

/** Latency in ms of all cells on each stored device: Infinity for a cell that failed, NaN where the table has none. */
export async function loadDevices(order) {
  const { codes, lowest, step } = await unpack("latencies"), n = order.length, { failed, absent } = about.codes;
  return Object.fromEntries(about.devices.map((name, d) => {
    const decoded = (code) => (code === failed ? Infinity : code === absent ? NaN : Math.exp(lowest[d] + code * step[d]));
    return [name, inNatsOrder(Float32Array.from(codes.subarray(d * n, (d + 1) * n), decoded), order)];
  }));
}

/** Features of all cells, a row each, from the places of their values. */
function features(arrays, order) {
  const sizes = arrays["features/sizes"], values = arrays["features/values"], places = arrays["features/places"];
  const found = new Float32Array(order.length * sizes.length);
  let first = 0;
  sizes.forEach((size, column) => {
    order.forEach((arch, k) => {
      found[arch * sizes.length + column] = values[first + places[column * order.length + k]];
    });
    first += size;
  });
  return found;
}

/** The controller; progress is called with the share of the cells that are prepared. */
export async function loadController(order, progress) {
  const arrays = await unpack("network");
  const network = new Network(arrays, features(arrays, order), about.sizes);
  await network.prepare(progress);
  return new Controller(network);
}
