/** A coded concept (PS3.3 8). */
export interface Code {
  readonly value: string
  readonly scheme: string
  readonly meaning: string
}

const dcm = (value: string, meaning: string): Code => ({ value, scheme: 'DCM', meaning })

/** Document titles of PS3.16 CID 7010 that people choose here. */
export const keyObjectTitles = {
  ofInterest: dcm('113000', 'Of Interest'),
  forReferringProvider: dcm('113002', 'For Referring Provider'),
  forConference: dcm('113004', 'For Conference'),
  bestInSet: dcm('113013', 'Best In Set'),
} as const

/** Concepts of TID 2010 and TID 1002. */
export const concepts = {
  observerType: dcm('121005', 'Observer Type'),
  person: dcm('121006', 'Person'),
  personObserverName: dcm('121008', 'Person Observer Name'),
  personObserverOrganisation: dcm('121009', "Person Observer's Organization Name"),
  description: dcm('113012', 'Key Object Description'),
} as const
