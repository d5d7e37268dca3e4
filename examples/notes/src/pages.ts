import { html } from 'hono/html'
import type { AuditEntry, Member, Note } from './database.ts'
import { styles } from './styles.ts'

// `html` escapes every interpolated value, except results of `html` itself.
export type Markup = ReturnType<typeof html>

/** A tenant as the landing page lists it. */
export interface ListedTenant {
  readonly id: string
  readonly name: string
}

interface TenantPage extends ListedTenant {
  readonly notes: readonly Note[]
  readonly members: readonly Member[]
  readonly audit: readonly AuditEntry[]
  /** What this tenant's links start with: nothing, or `/t/acme`. */
  readonly base: string
  /** The page that lists the tenants. */
  readonly home: string
}

export function tenantPage({ id, name, notes, members, audit, base, home }: TenantPage): Markup {
  const body = html`
    <header>
      <p class="eyebrow"><a href="${home}">Notes</a> / ${id}</p>
      <h1>${name}</h1>
    </header>
    <main class="columns">
      <section aria-labelledby="notes">
        <h2 id="notes">Notes</h2>
        <form method="post" action="${base}/notes">
          <label>Title <input name="title" required maxlength="200" pattern=".*\\S.*" autocomplete="off"></label>
          <label>Note <textarea name="body" rows="3" maxlength="10000"></textarea></label>
          <button>Add note</button>
        </form>
        ${notes.map(
          (note) => html`
            <article>
              <h3>${note.title}</h3>
              ${note.body && html`<p class="body">${note.body}</p>`}
              <p class="quiet">${time(note.created)}</p>
            </article>`,
        )}
        ${notes.length === 0 && html`<p class="quiet">No notes yet.</p>`}
      </section>
      <aside>
        <section aria-labelledby="members">
          <h2 id="members">Members</h2>
          <ul>
            ${members.map(
              (member) => html`
                <li>
                  <span>${member.name}${member.role === 'admin' && html` <span class="tag">admin</span>`}</span>
                  <span class="quiet">${member.email}</span>
                </li>`,
            )}
          </ul>
        </section>
        <section aria-labelledby="audit">
          <h2 id="audit">Latest changes</h2>
          <ol>
            ${audit.map(
              (entry) => html`
                <li>
                  <span>${entry.actor} ${entry.action} <em>${entry.subject}</em></span>
                  <span class="quiet">${time(entry.at)}</span>
                </li>`,
            )}
          </ol>
        </section>
      </aside>
    </main>
    <footer class="quiet">
      Everything on this page is in the database of ${name}, which holds nothing else. As JSON:
      <a href="${base}/api/notes">notes</a>, <a href="${base}/api/members">members</a>,
      <a href="${base}/api/audit">audit log</a>.
    </footer>`
  return page(name, body, computeHue(id))
}

/** @param landing `host`: the bare domain with its port */
export function landingPage(landing: { tenants: readonly ListedTenant[]; host: string }): Markup {
  const body = html`
    <header>
      <p class="eyebrow">Tenantry</p>
      <h1>Notes</h1>
    </header>
    <main>
      <p class="lead">One app, and a database for every tenant. Each of these sees its own notes and no others.</p>
      <ul class="tenants">
        ${landing.tenants.map(
          ({ id, name }) => html`
            <li style="--hue: ${computeHue(id)}">
              <a href="/t/${id}/">${name}</a>
              <span class="quiet">or at its subdomain, <a href="//${id}.${landing.host}/">${id}.${landing.host}</a></span>
            </li>`,
        )}
      </ul>
    </main>`
  return page('Notes', body, 220)
}

/** A whole page. */
export function page(title: string, body: Markup, hue: number): Markup {
  return html`<!doctype html>
    <html lang="en" style="--hue: ${hue}">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${title}</title>
        ${styles}
      </head>
      <body>${body}</body>
    </html>`
}

function time(iso: string): Markup {
  const format = { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' } as const
  return html`<time datetime="${iso}">${new Intl.DateTimeFormat('en-GB', format).format(new Date(iso))} UTC</time>`
}

/** A colour of its own for each tenant, so that a glance says whose page this is. */
export function computeHue(id: string): number {
  return [...id].reduce((hash, letter) => (hash * 31 + (letter.codePointAt(0) ?? 0)) % 360, 40)
}
