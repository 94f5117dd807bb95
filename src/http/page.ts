/**
 * Serves the page: the files of `page/`, and the library that draws, from where it is installed. Mounted by `admin.ts`,
 * behind its authentication. Everything comes from ballast itself, and nothing is made while it runs.
 */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { Hono } from 'hono'
import { etag } from 'hono/etag'

/** Beside `src/` and beside what is built of it. */
const FOLDER = join(import.meta.dirname, '..', '..', 'page')

const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
} as const

/** By path. What is not named here is not served. */
const OWN = {
  '/': 'index.html',
  '/page/style.css': 'style.css',
  '/page/icon.svg': 'icon.svg',
  '/page/main.js': 'main.js',
  '/page/ask.js': 'ask.js',
  '/page/elements.js': 'elements.js',
  '/page/words.js': 'words.js',
  '/page/banner.js': 'banner.js',
  '/page/experiments.js': 'experiments.js',
  '/page/plots.js': 'plots.js',
  '/page/switch.js': 'switch.js',
  '/page/samples.js': 'samples.js',
  '/page/health.js': 'health.js',
} as const

/** Files for browsers, in installed packages. */
const LIBRARIES = {
  '/page/d3.js': ['d3', 'dist/d3.min.js'],
  '/page/plot.js': ['@observablehq/plot', 'dist/plot.umd.min.js'],
} as const

export function createPage(): Hono {
  const app = new Hono()
  const files: [path: string, file: string][] = [
    ...Object.entries(OWN).map(([path, name]): [string, string] => [path, join(FOLDER, name)]),
    ...Object.entries(LIBRARIES).map(([path, [name, inside]]): [string, string] => [
      path,
      fromPackage(name, inside),
    ]),
  ]
  for (const [path, file] of files) {
    const type = TYPES[file.slice(file.lastIndexOf('.') + 1) as keyof typeof TYPES]
    // Read when first asked for: most who start ballast, tests among them, never look.
    let text: string | null = null
    app.get(path, etag(), (c) => {
      text ??= readFileSync(file, 'utf8')
      return c.body(text, 200, { 'content-type': type, 'cache-control': 'private, no-cache' })
    })
  }
  return app
}

/** @throws Error when it is not installed. */
function fromPackage(name: string, path: string): string {
  const description = findPackageJSON(name, import.meta.url)
  if (description === undefined) throw new Error(`the package ${name} is not installed: run npm ci`)
  return join(dirname(description), path)
}
