import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { Accounts } from '../accounts.ts'
import { originOf } from '../session/routes.ts'

/** The own password, and what passwords must be like. */
export function addPasswordRoutes(face: HttpFace, { passwords, settings, signIns }: Accounts): void {
  face.route(
    {
      method: 'GET',
      path: '/api/password-policy',
      summary: 'What passwords must be like',
      allow: 'signed-in',
      unfinished: true,
      answer: z.object({ minLength: z.number(), minClasses: z.number(), history: z.number(), maxAgeDays: z.number() }),
    },
    () => settings.password,
  )
  face.route(
    {
      method: 'PUT',
      path: '/api/password',
      summary: 'Change my password; my other sessions end',
      allow: 'signed-in',
      unfinished: true,
      body: z.object({ current: z.string().min(1).max(200), next: z.string().min(1).max(200) }),
      limit: { requests: 20, seconds: 60 },
      maxBodyBytes: 4_096,
    },
    async ({ user, sessionId, body, request }) => {
      // Counted as a sign-in is: a stolen session must not become a place to guess the password in.
      await signIns.confirmPassword(user.username, body.current, originOf(request))
      await passwords.changeOwn(user.id, body.current, body.next, sessionId)
    },
  )
}
