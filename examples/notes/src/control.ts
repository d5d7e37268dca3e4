import type { TenantInfo } from '@tenantry/multi-tenancy'
import { html, raw } from 'hono/html'
import { computeHue, type Markup, page } from './pages.ts'

/** What can be done to a tenant, by its state: the button, and the call of the tenants API. */
const ACTIONS: Readonly<Record<string, readonly (readonly [string, string, string])[]>> = {
  active: [
    ['Suspend', 'POST', '/suspend'],
    ['Delete', 'DELETE', ''],
  ],
  suspended: [
    ['Resume', 'POST', '/resume'],
    ['Delete', 'DELETE', ''],
  ],
  deleted: [['Undelete', 'POST', '/undelete']],
  failed: [
    ['Try again', 'POST', '/retry'],
    ['Delete', 'DELETE', ''],
  ],
}

interface ControlPage {
  readonly tenants: readonly TenantInfo[]
  /** What a tenant is called, where it is more than its id. */
  readonly names: ReadonlyMap<string, string>
  /** The bare domain with its port. */
  readonly host: string
  /** What lets the page's own script run, and no other. */
  readonly nonce: string
}

/** The landing page for the operator of the tenants; its buttons call the tenants API. */
export function controlPage({ tenants, names, host, nonce }: ControlPage): Markup {
  const body = html`
    <header>
      <p class="eyebrow">Tenantry</p>
      <h1>Notes</h1>
    </header>
    <main>
      <p class="lead">One app, and a database for every tenant. Each of these sees its own notes and no others.</p>
      <form data-method="POST" data-path="/tenants" class="row">
        <label>New tenant <input name="id" required maxlength="63" pattern="[a-z0-9]+(-[a-z0-9]+)*" autocomplete="off"></label>
        <button>Create</button>
      </form>
      <p role="alert"></p>
      <ul class="tenants">${tenants.map((tenant) => row(tenant, names.get(tenant.id) ?? tenant.id, host))}</ul>
    </main>
    <footer class="quiet">
      Every button is one call of the tenants API: <a href="/tenants">the list</a>,
      <a href="/tenants/openapi.json">its description</a>.
    </footer>
    <script nonce="${nonce}">${raw(SCRIPT)}</script>`
  return page('Notes', body, 220)
}

function row({ id, state }: TenantInfo, name: string, host: string): Markup {
  const served = state === 'active' || state === 'upgrading'
  return html`
    <li style="--hue: ${computeHue(id)}">
      ${served ? html`<a href="/t/${id}/">${name}</a>` : html`<strong>${name}</strong>`}
      <span class="quiet">
        <span class="tag">${state}</span>
        ${served && html`at <a href="//${id}.${host}/">${id}.${host}</a>`}
      </span>
      <span class="row">
        ${(ACTIONS[state] ?? []).map(
          ([label, method, path]) => html`
            <form data-method="${method}" data-path="/tenants/${id}${path}"><button class="plain">${label}</button></form>`,
        )}
      </span>
    </li>`
}

const SCRIPT = `
addEventListener('submit', async (event) => {
  event.preventDefault()
  const { method, path } = event.target.dataset
  const body = JSON.stringify(Object.fromEntries(new FormData(event.target)))
  const answer = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body })
  if (answer.ok) return location.reload()
  const { detail, code } = await answer.json()
  document.querySelector('[role=alert]').textContent = detail ?? code
})`
