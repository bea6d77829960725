// Canonical CBOR, as spec/encoding.md asks for: one encoding for each value, and every other is refused.
//
// `cborg` writes and reads the values. It does not look at the order of keys and the width of floats when it reads, so
// the bytes are walked through once before.

import { decode as read, encode as write, rfc8949EncodeOptions } from 'cborg'

export const MAX_DEPTH = 16

export class Malformed extends Error {
  constructor(rule, detail) {
    super(`${rule}: ${detail}`)
    this.rule = rule
  }
}

/** The canonical bytes of a value. Records are `Map`s. */
export function encode(value) {
  return write(value, rfc8949EncodeOptions)
}

/** The value of canonical bytes; nothing may follow it. */
export function decode(bytes) {
  const end = walk(bytes, 0, 0)
  if (end !== bytes.length) throw new Malformed('trailing-bytes', `${bytes.length - end} bytes follow the value`)
  try {
    return read(bytes, {
      useMaps: true,
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      rejectDuplicateMapKeys: true,
      // A tag may stand in an extension, whose value nobody here looks at.
      tags: new Proxy([], { get: (_, tag) => (/^\d+$/.test(String(tag)) ? (inner) => ({ tag, inner: inner() }) : undefined) })
    })
  } catch (error) {
    throw new Malformed('wrong-type', error.message)
  }
}

/** Goes over one value that begins at `at`, and gives where it ends. */
function walk(bytes, at, depth) {
  // The frames of this protocol are themselves a few levels deep.
  if (depth > MAX_DEPTH + 8) throw new Malformed('too-deep', `more than ${MAX_DEPTH} levels`)
  const head = byteAt(bytes, at)
  const major = head >> 5
  if (major === 7) return walkSimple(bytes, at, head)
  const { argument, next } = headOf(bytes, at, head)
  switch (major) {
    case 0:
    case 1:
      return next
    case 2:
    case 3: {
      const end = next + Number(argument)
      if (end > bytes.length) throw new Malformed('truncated', 'a string ends behind the bytes')
      return end
    }
    case 4:
      return walkMany(bytes, next, Number(argument), depth)
    case 5:
      return walkMap(bytes, next, Number(argument), depth)
    default:
      return walk(bytes, next, depth + 1)
  }
}

function walkMany(bytes, at, count, depth) {
  for (let i = 0; i < count; i++) at = walk(bytes, at, depth + 1)
  return at
}

function walkMap(bytes, at, pairs, depth) {
  let last
  for (let i = 0; i < pairs; i++) {
    const value = walk(bytes, at, depth + 1)
    const key = Buffer.from(bytes.subarray(at, value))
    if (last !== undefined && Buffer.compare(last, key) >= 0) throw new Malformed('key-order', 'unsorted or repeated keys')
    last = key
    at = walk(bytes, value, depth + 1)
  }
  return at
}

function walkSimple(bytes, at, head) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const width = { 0xf9: 2, 0xfa: 4, 0xfb: 8 }[head]
  if (width === undefined) {
    if (head === 0xff || head === 0xf8) throw new Malformed('not-canonical', 'an indefinite length or a long simple value')
    if (head > 0xf6) throw new Malformed('wrong-type', `the simple value ${head & 0x1f}`)
    return at + 1
  }
  if (at + 1 + width > bytes.length) throw new Malformed('truncated', 'a float ends behind the bytes')
  if (width > 2) {
    const value = width === 4 ? view.getFloat32(at + 1) : view.getFloat64(at + 1)
    // The writer takes the shortest form; a whole number would become an integer, and so is moved off it.
    const shortest = Number.isInteger(value) ? widthOfWhole(value) : write(value, rfc8949EncodeOptions).length - 1
    if (shortest < width) throw new Malformed('not-canonical', 'a float that is not in its shortest form')
  }
  return at + 1 + width
}

function widthOfWhole(value) {
  if (Math.fround(value) !== value) return 8
  if (Math.abs(value) > 65504) return 4
  // A half float has eleven significant bits.
  let odd = Math.abs(value)
  while (odd !== 0 && odd % 2 === 0) odd /= 2
  return odd < 2048 ? 2 : 4
}

function headOf(bytes, at, head) {
  const info = head & 0x1f
  if (info < 24) return { argument: BigInt(info), next: at + 1 }
  if (info > 27) throw new Malformed('not-canonical', 'an indefinite length')
  const width = 1 << (info - 24)
  let argument = 0n
  for (let i = 1; i <= width; i++) argument = (argument << 8n) | BigInt(byteAt(bytes, at + i))
  const least = [24n, 1n << 8n, 1n << 16n, 1n << 32n][info - 24]
  if (argument < least) throw new Malformed('not-canonical', 'a number that is not in its shortest form')
  return { argument, next: at + 1 + width }
}

function byteAt(bytes, at) {
  if (at >= bytes.length) throw new Malformed('truncated', 'the bytes end before the value does')
  return bytes[at]
}
