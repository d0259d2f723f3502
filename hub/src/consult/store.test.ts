import { openHubSqlite } from '../../tests/support/database.ts'
import { ledgerContract } from './store.contract.ts'

ledgerContract('SQLite', openHubSqlite)
