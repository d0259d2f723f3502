export { addPostureRoutes, Posture } from './routes.ts'
