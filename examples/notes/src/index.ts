export { createNotesApp, type NotesAppOptions } from './app.ts'
export { migrations, type NotesAdapters, type NotesDatabase } from './database.ts'
export { demoTenants, seedDemo } from './demo.ts'
